#define KCORE_LEVEL avx512
#define KCORE_VECTOR_BYTES 64
#include "level.h"
