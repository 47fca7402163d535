"""Public fakes for tests: pictures, a checkpoint, an image server. Nothing in pixvec itself needs them."""
