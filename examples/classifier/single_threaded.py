"""Import before numpy: keeps the numerical libraries from starting threads.

OpenBLAS starts its threads when it is loaded. Workers are forked from a process that has imported the app, and only
the thread that forks exists in the child; besides, a model this small is slower on many threads than on one.
"""

import os

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
