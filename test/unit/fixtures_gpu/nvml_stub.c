/*
 * A stand-in for NVIDIA's libnvidia-ml.so.1: two GPUs, written from the public description of the interface. Files in
 * the folder STATE change what it does while it runs; PROCESS_LIST says which versions of the process list it has.
 *
 *   cc -shared -fPIC -DSTATE='"/some/folder"' -DPROCESS_LIST=3 -o libnvidia-ml.so.1 nvml_stub.c
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, NO_DRIVER = 9, LOST = 15, UNKNOWN = 999 };

typedef struct device { int index; int instance; } *device_t;
typedef struct { unsigned int gpu, memory; } utilization_t;
typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned int version; unsigned long long total, reserved, free, used; } memory_v2_t;
typedef struct { unsigned int pid; unsigned long long used; } process_v1_t;
typedef struct { unsigned int pid; unsigned long long used; unsigned int gpu_instance, compute_instance; } process_t;
_Static_assert(sizeof(utilization_t) == 8, "nvmlUtilization_t");
_Static_assert(sizeof(memory_t) == 24, "nvmlMemory_t");
_Static_assert(sizeof(memory_v2_t) == 40, "nvmlMemory_v2_t");
_Static_assert(sizeof(process_v1_t) == 16, "nvmlProcessInfo_v1_t");
_Static_assert(sizeof(process_t) == 24, "nvmlProcessInfo_t");

#define GIB (1ULL << 30)
static struct device whole[2] = {{0, -1}, {1, -1}};
static struct device slices[2] = {{0, 0}, {0, 1}};

static int has(const char *name) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", STATE, name);
  return access(path, F_OK) == 0;
}

static int trouble(device_t d) {
  if (has("hang")) for (;;) pause();
  if (has("crash")) abort();
  if (d->index == 1 && has("lost_1")) return LOST;
  if (has("all_fail")) return UNKNOWN;
  return SUCCESS;
}
#define CHECK(d) do { int status = trouble(d); if (status != SUCCESS) return status; } while (0)
/* GPU 1 is one that says little; a slice says nothing but its memory. */
#define ONLY_FIRST(d) do { CHECK(d); if ((d)->index != 0 || (d)->instance >= 0) return NOT_SUPPORTED; } while (0)

int nvmlInit_v2(void) {
  if (has("hang_init")) for (;;) pause();
  return has("no_driver") ? NO_DRIVER : has("init_fails") ? UNKNOWN : SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned int *count) { *count = has("no_gpus") ? 0 : 2; return SUCCESS; }

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, device_t *d) {
  if (index > 1) return INVALID;
  *d = &whole[index];
  return SUCCESS;
}

int nvmlDeviceGetName(device_t d, char *name, unsigned int length) {
  snprintf(name, length, d->instance < 0 ? "Stub %d" : "Stub %d MIG 3g.40gb", d->index);
  return SUCCESS;
}

int nvmlDeviceGetUUID(device_t d, char *uuid, unsigned int length) {
  if (d->instance < 0) snprintf(uuid, length, "GPU-%d", d->index);
  else snprintf(uuid, length, "MIG-%d-%d", d->index, d->instance);
  return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(device_t d, utilization_t *out) {
  ONLY_FIRST(d);
  if (has("mig")) return NOT_SUPPORTED;
  out->gpu = 75;
  out->memory = 40;
  return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(device_t d, memory_t *out) {
  CHECK(d);
  *out = (memory_t){16 * GIB, 12 * GIB, 4 * GIB};
  return SUCCESS;
}

int nvmlDeviceGetMemoryInfo_v2(device_t d, memory_v2_t *out) {
  CHECK(d);
  if (d->index != 0) return NOT_SUPPORTED;
  if (out->version != (sizeof(memory_v2_t) | 2u << 24)) return INVALID;
  unsigned long long total = d->instance < 0 ? 80 * GIB : 40 * GIB;
  unsigned long long used = d->instance < 0 ? 20 * GIB : (unsigned long long)(d->instance + 1) * GIB;
  *out = (memory_v2_t){out->version, total, GIB, total - used - GIB, used};
  return SUCCESS;
}

int nvmlDeviceGetPowerUsage(device_t d, unsigned int *milliwatts) { ONLY_FIRST(d); *milliwatts = 350500; return SUCCESS; }

int nvmlDeviceGetTemperature(device_t d, unsigned int sensor, unsigned int *celsius) {
  ONLY_FIRST(d);
  if (sensor != 0) return INVALID;
  *celsius = 61;
  return SUCCESS;
}

int nvmlDeviceGetClockInfo(device_t d, unsigned int type, unsigned int *megahertz) {
  ONLY_FIRST(d);
  *megahertz = type == 1 ? 1980 : 1;
  return SUCCESS;
}

/* Idle, power cap, thermal: the first is no throttling. */
int nvmlDeviceGetCurrentClocksThrottleReasons(device_t d, unsigned long long *reasons) {
  ONLY_FIRST(d);
  *reasons = 0x1 | 0x4 | 0x20;
  return SUCCESS;
}

int nvmlDeviceGetTotalEccErrors(device_t d, unsigned int error, unsigned int counter, unsigned long long *count) {
  ONLY_FIRST(d);
  *count = error == 1 && counter == 0 ? 2 : 77;
  return SUCCESS;
}

int nvmlDeviceGetMigMode(device_t d, unsigned int *current, unsigned int *pending) {
  if (d->index != 0) return NOT_SUPPORTED;
  *current = *pending = (unsigned int)has("mig");
  return SUCCESS;
}

int nvmlDeviceGetMaxMigDeviceCount(device_t d, unsigned int *count) { (void)d; *count = 7; return SUCCESS; }

int nvmlDeviceGetMigDeviceHandleByIndex(device_t d, unsigned int index, device_t *slice) {
  (void)d;
  if (index > 1) return NOT_FOUND;
  *slice = &slices[index];
  return SUCCESS;
}

/* The file `processes`: lines of "UUID pid bytes", bytes -1 for "not available". */
static int list(device_t d, unsigned int *count, void (*put)(void *, unsigned int, process_t), void *out) {
  CHECK(d);
  char path[4096], uuid[96], mine[96];
  unsigned int found = 0, pid;
  long long bytes;
  nvmlDeviceGetUUID(d, mine, sizeof mine);
  snprintf(path, sizeof path, "%s/processes", STATE);
  FILE *file = fopen(path, "r");
  while (file != NULL && fscanf(file, "%95s %u %lld", uuid, &pid, &bytes) == 3) {
    if (strcmp(uuid, mine) != 0) continue;
    if (found < *count) put(out, found, (process_t){pid, (unsigned long long)bytes, 0xFFFFFFFFu, 0xFFFFFFFFu});
    found++;
  }
  if (file != NULL) fclose(file);
  int status = found > *count ? TOO_SMALL : SUCCESS;
  *count = found;
  return status;
}

#if PROCESS_LIST >= 2
static void put_v2(void *out, unsigned int i, process_t p) { ((process_t *)out)[i] = p; }
int nvmlDeviceGetComputeRunningProcesses_v2(device_t d, unsigned int *count, process_t *out) { return list(d, count, put_v2, out); }
#endif
#if PROCESS_LIST >= 3
int nvmlDeviceGetComputeRunningProcesses_v3(device_t d, unsigned int *count, process_t *out) { return list(d, count, put_v2, out); }
#endif
static void put_v1(void *out, unsigned int i, process_t p) { ((process_v1_t *)out)[i] = (process_v1_t){p.pid, p.used}; }
int nvmlDeviceGetComputeRunningProcesses(device_t d, unsigned int *count, process_v1_t *out) { return list(d, count, put_v1, out); }
