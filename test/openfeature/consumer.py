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
durations_ms: list[float] = []
last = None
while not over.is_set():
    start = time.perf_counter()
    details = client.get_integer_details(flag, -1)
    durations_ms.append((time.perf_counter() - start) * 1_000)
    seen = {"value": details.value, "variant": details.variant}
    if seen != last:
        print(json.dumps(seen), flush=True)
    last = seen
    time.sleep(0.001)
durations_ms.sort()
count = len(durations_ms)
report = {
    "reads": count,
    "p50Ms": durations_ms[count // 2],
    "p99Ms": durations_ms[int(count * 0.99)],
    "maxMs": durations_ms[-1],
}
print(json.dumps(report), flush=True)
