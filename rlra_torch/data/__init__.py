"""What a model is compared with: dense or sparse, whole or in parts."""

from .base import Data as Data
from .base import Parts as Parts
from .chunks import Chunks as Chunks
from .dense import Dense as Dense
from .given import given as given
from .sparse import Sparse as Sparse
from .terms import Terms as Terms
