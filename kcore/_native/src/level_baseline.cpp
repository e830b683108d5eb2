#define KCORE_LEVEL baseline
#define KCORE_VECTOR_BYTES 16
#include "level.h"
