"""An application that knows nothing of this agent: the stock OpenFeature SDK with flagd's provider. It reads one flag over
and over, says each change as a line of JSON, and how long its reads took when its input ends."""

import json
import sys
import threading
import time

from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import CacheType, ResolverType

resolver, address, selector, flag = sys.argv[1:]
host, port = address.split(":")
provider = FlagdProvider(
    resolver_type=ResolverType(resolver),
    host=host,
    port=int(port),
    selector=selector,
    cache=CacheType.DISABLED,
)
api.set_provider_and_wait(provider)
client = api.get_client()

over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
WARM_READS = 200
durations_ms: list[float] = []
cpus_ms: list[float] = []
last = None
while not over.is_set():
    start, cpu = time.perf_counter(), time.thread_time()
    details = client.get_integer_details(flag, -1)
    cpu_ms = (time.thread_time() - cpu) * 1_000
    durations_ms.append((time.perf_counter() - start) * 1_000)
    # The first reads are slow because the program is new, not because of the flag.
    if len(durations_ms) > WARM_READS:
        cpus_ms.append(cpu_ms)
    seen = {"value": details.value, "variant": details.variant}
    if seen != last:
        print(json.dumps(seen), flush=True)
    last = seen
    time.sleep(0.001)
durations_ms.sort()
cpus_ms.sort()
count = len(durations_ms)
report = {
    "reads": count,
    "p50Ms": durations_ms[count // 2],
    "p99Ms": durations_ms[int(count * 0.99)],
    "maxMs": durations_ms[-1],
    "p999CpuMs": cpus_ms[int(len(cpus_ms) * 0.999)],
}
print(json.dumps(report), flush=True)
