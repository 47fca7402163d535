"""What bytes came to, remembered across runs: hashes of bytes and of URLs -> rows, in a folder, when asked for.

It decides nothing: a row comes from here only for bytes of the same hash that the same model read in the same way, and
a URL's bytes are taken to be those of last time only when its server says so now. Whatever befalls the folder costs
time, never a row.
"""

from pixvec.pipeline.cache.options import CacheOptions
from pixvec.pipeline.cache.rows import Known, RowCache

__all__ = ["CacheOptions", "Known", "RowCache"]
