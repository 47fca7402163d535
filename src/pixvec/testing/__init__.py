"""Public fakes for tests: pictures, a checkpoint, an image server. Of pixvec itself, only `parity` draws with them."""
