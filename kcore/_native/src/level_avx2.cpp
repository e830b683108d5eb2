#define KCORE_LEVEL avx2
#define KCORE_VECTOR_BYTES 32
#include "level.h"
