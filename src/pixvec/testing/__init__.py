"""Public fakes for tests: images, a checkpoint, an image server. Of pixvec itself, only `parity` draws with them."""
