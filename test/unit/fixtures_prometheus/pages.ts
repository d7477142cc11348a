import { type Buckets, type Family, render } from './render.ts';

/*
 * Pages of AI servers as each documents them, after so and so many requests. Every request takes the same time, so that what
 * must be read off two pages can be said in a line.
 */

const MODEL = 'meta-llama/Llama-3.1-8B-Instruct';

/** All of them in the bucket that `value` falls into. */
function all(count: number, value: number, bounds: readonly number[]): Buckets {
  const counts = new Array<number>(bounds.length + 1).fill(0);
  const bucket = bounds.findIndex((bound) => value <= bound);
  counts[bucket < 0 ? bounds.length : bucket] = count;
  return { bounds, counts, sum: count * value };
}

const REQUEST_BOUNDS = [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680];
const FIRST_TOKEN_BOUNDS = [
  ...[0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75],
  ...[1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560],
];
const TOKEN_BOUNDS = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80];

export interface VllmState {
  readonly finished: number;
  readonly aborted?: number;
  readonly seconds?: number;
  readonly running?: number;
  readonly waiting?: number;
  readonly cache?: number;
  readonly createdSeconds?: number;
  readonly processStartSeconds?: number;
}

/** vLLM's V1 engine. Every request reads 100 tokens and writes 20. */
export function vllmFamilies(state: VllmState): readonly Family[] {
  const { finished, aborted = 0, seconds = 0.4, running = 3, waiting = 5, cache = 0.25 } = state;
  const labels = { engine: '0', model_name: MODEL };
  const born = state.createdSeconds === undefined ? {} : { createdSeconds: state.createdSeconds };
  const requests = finished + aborted;
  const ended = (reason: string, value: number) => ({ labels: { ...labels, finished_reason: reason }, value, ...born });
  const timed = (name: string, help: string, buckets: Buckets): Family => ({
    ...{ name, help, type: 'histogram' },
    metrics: [{ labels, ...buckets, ...born }],
  });
  const gauge = (name: string, help: string, value: number): Family => ({
    ...{ name, help, type: 'gauge' },
    metrics: [{ labels, value }],
  });
  const counter = (name: string, help: string, value: number): Family => ({
    ...{ name, help, type: 'counter' },
    metrics: [{ labels, value, ...born }],
  });
  return [
    {
      ...{ name: 'python_info', help: 'Python platform information', type: 'gauge' },
      metrics: [{ labels: { implementation: 'CPython', major: '3', version: '3.12.9' }, value: 1 }],
    },
    ...(state.processStartSeconds === undefined
      ? []
      : [
          {
            ...{ name: 'process_start_time_seconds', type: 'gauge' as const },
            help: 'Start time of the process since unix epoch in seconds.',
            metrics: [{ value: state.processStartSeconds }],
          },
        ]),
    gauge('vllm:num_requests_running', 'Number of requests in model execution batches.', running),
    gauge('vllm:num_requests_waiting', 'Number of requests waiting to be processed.', waiting),
    gauge('vllm:kv_cache_usage_perc', 'KV-cache usage. 1 means 100 percent usage.', cache),
    counter('vllm:num_preemptions', 'Cumulative number of preemption from the engine.', 0),
    counter('vllm:prompt_tokens', 'Number of prefill tokens processed.', 100 * requests),
    counter('vllm:generation_tokens', 'Number of generation tokens processed.', 20 * requests),
    {
      ...{ name: 'vllm:request_success', help: 'Count of successfully processed requests.', type: 'counter' },
      metrics: [ended('stop', finished), ended('length', 0), ended('abort', aborted), ended('error', 0)],
    },
    timed(
      'vllm:iteration_tokens_total',
      'Histogram of number of tokens per engine_step.',
      all(20 * requests, 8, [1, 8, 16, 32, 64]),
    ),
    timed(
      'vllm:time_to_first_token_seconds',
      'Histogram of time to first token in seconds.',
      all(requests, 0.05, FIRST_TOKEN_BOUNDS),
    ),
    timed(
      'vllm:inter_token_latency_seconds',
      'Histogram of inter-token latency in seconds.',
      all(19 * requests, 0.02, TOKEN_BOUNDS),
    ),
    timed(
      'vllm:e2e_request_latency_seconds',
      'Histogram of e2e request latency in seconds.',
      all(requests, seconds, REQUEST_BOUNDS),
    ),
    timed(
      'vllm:request_queue_time_seconds',
      'Histogram of time spent in WAITING phase for request.',
      all(requests, 0.1, REQUEST_BOUNDS),
    ),
    {
      ...{ name: 'vllm:cache_config_info', help: 'Information of the LLMEngine CacheConfig', type: 'gauge' },
      metrics: [{ labels: { block_size: '16', cache_dtype: 'auto', engine: '0', num_gpu_blocks: '27894' }, value: 1 }],
    },
  ];
}

export function vllmPage(state: VllmState, format: 'text' | 'openmetrics' = 'text'): string {
  return render(vllmFamilies(state), format);
}

/** SGLang with `--enable-metrics`, two ranks of tensor parallelism that both report. */
export function sglangPage(requests: number, aborted: number): string {
  const labels = { model_name: MODEL };
  const rank = (tp: number) => ({ ...labels, engine_type: 'unified', pp_rank: '0', tp_rank: String(tp) });
  const gauge = (name: string, help: string, value: number): Family => ({
    ...{ name, help, type: 'gauge' },
    metrics: [0, 1].map((tp) => ({ labels: rank(tp), value })),
  });
  const counter = (name: string, help: string, value: number): Family => ({
    ...{ name, help, type: 'counter' },
    metrics: [{ labels, value }],
  });
  const timed = (name: string, help: string, buckets: Buckets): Family => ({
    ...{ name, help, type: 'histogram' },
    metrics: [{ labels, ...buckets }],
  });
  return render(
    [
      counter('sglang:prompt_tokens', 'Number of prefill tokens processed.', 100 * requests),
      counter('sglang:generation_tokens', 'Number of generation tokens processed.', 20 * requests),
      counter('sglang:num_requests', 'Number of requests processed.', requests),
      counter('sglang:num_aborted_requests', 'Number of requests aborted.', aborted),
      gauge('sglang:token_usage', 'The token usage.', 0.28),
      gauge('sglang:cache_hit_rate', 'The prefix cache hit rate.', 0.0075),
      gauge('sglang:num_running_reqs', 'The number of running requests.', 4),
      gauge('sglang:num_queue_reqs', 'The number of requests in the waiting queue.', 6),
      gauge('sglang:gen_throughput', 'The generation throughput (token/s).', 86.5),
      timed(
        'sglang:time_to_first_token_seconds',
        'Histogram of time to first token in seconds.',
        all(requests, 0.09, [0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8, 10, 20, 40, 60, 80, 100, 200, 400]),
      ),
      timed(
        'sglang:inter_token_latency_seconds',
        'Histogram of inter-token latency in seconds.',
        all(19 * requests, 0.006, [0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.025, 0.03]),
      ),
      timed(
        'sglang:e2e_request_latency_seconds',
        'Histogram of End-to-end request latency in seconds',
        all(requests, 0.7, [0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8, 10, 20, 40, 60, 80, 100, 200, 400, 600]),
      ),
      timed(
        'sglang:queue_time_seconds',
        'Histogram of queueing time in seconds.',
        all(requests, 0.004, [0, 0.1, 0.2, 0.5, 1, 2, 3, 4, 5, 10]),
      ),
    ],
    'text',
  );
}

/** Triton: one model, 200 ms a request of which 50 ms in the queue, two GPUs. */
export function tritonPage(succeeded: number, failed: number): string {
  const model = '{model="resnet50",version="1"}';
  return `# HELP nv_inference_request_success Number of successful inference requests, all batch sizes
# TYPE nv_inference_request_success counter
nv_inference_request_success${model} ${succeeded}
# HELP nv_inference_request_failure Number of failed inference requests, all batch sizes
# TYPE nv_inference_request_failure counter
nv_inference_request_failure{model="resnet50",reason="REJECTED",version="1"} 0
nv_inference_request_failure{model="resnet50",reason="BACKEND",version="1"} ${failed}
# HELP nv_inference_count Number of inferences performed (does not include cached requests)
# TYPE nv_inference_count counter
nv_inference_count${model} ${8 * succeeded}
# HELP nv_inference_exec_count Number of model executions performed (does not include cached requests)
# TYPE nv_inference_exec_count counter
nv_inference_exec_count${model} ${succeeded}
# HELP nv_inference_request_duration_us Cumulative inference request duration in microseconds (includes cached requests)
# TYPE nv_inference_request_duration_us counter
nv_inference_request_duration_us${model} ${200_000 * succeeded}
# HELP nv_inference_queue_duration_us Cumulative inference queuing duration in microseconds (includes cached requests)
# TYPE nv_inference_queue_duration_us counter
nv_inference_queue_duration_us${model} ${50_000 * succeeded}
# HELP nv_inference_pending_request_count Instantaneous number of pending requests awaiting execution per-model.
# TYPE nv_inference_pending_request_count gauge
nv_inference_pending_request_count${model} 7
# HELP nv_gpu_utilization GPU utilization rate [0.0 - 1.0)
# TYPE nv_gpu_utilization gauge
nv_gpu_utilization{gpu_uuid="GPU-604ac76c-d9cf-fef3-62e9-d92044ab6e52"} 0.4
nv_gpu_utilization{gpu_uuid="GPU-7a9c9f44-ff57-1177-e21a-1740a8cf1a65"} 0.8
# HELP nv_gpu_memory_total_bytes GPU total memory, in bytes
# TYPE nv_gpu_memory_total_bytes gauge
nv_gpu_memory_total_bytes{gpu_uuid="GPU-604ac76c-d9cf-fef3-62e9-d92044ab6e52"} 16106127360
nv_gpu_memory_total_bytes{gpu_uuid="GPU-7a9c9f44-ff57-1177-e21a-1740a8cf1a65"} 16106127360
# HELP nv_gpu_memory_used_bytes GPU used memory, in bytes
# TYPE nv_gpu_memory_used_bytes gauge
nv_gpu_memory_used_bytes{gpu_uuid="GPU-604ac76c-d9cf-fef3-62e9-d92044ab6e52"} 1073741824
nv_gpu_memory_used_bytes{gpu_uuid="GPU-7a9c9f44-ff57-1177-e21a-1740a8cf1a65"} 3221225472
# HELP nv_pinned_memory_pool_total_bytes Pinned memory pool total memory size, in bytes
# TYPE nv_pinned_memory_pool_total_bytes gauge
nv_pinned_memory_pool_total_bytes 268435456
`;
}

/** TGI's router, whose client library writes no HELP and adds no `_total`. 800 ms a request, 30 tokens in, 10 out. */
export function tgiPage(succeeded: number, overloaded: number, invalid: number): string {
  const seconds = (name: string, value: number) =>
    `# TYPE ${name} histogram
${name}_bucket{le="0.1"} ${value <= 0.1 ? succeeded : 0}
${name}_bucket{le="0.75"} ${value <= 0.75 ? succeeded : 0}
${name}_bucket{le="1"} ${succeeded}
${name}_bucket{le="+Inf"} ${succeeded}
${name}_sum ${value * succeeded}
${name}_count ${succeeded}
`;
  const tokens = (name: string, value: number) =>
    `# TYPE ${name} histogram
${name}_bucket{le="128"} ${succeeded}
${name}_bucket{le="+Inf"} ${succeeded}
${name}_sum ${value * succeeded}
${name}_count ${succeeded}
`;
  return `# TYPE tgi_request_count counter
tgi_request_count ${succeeded + overloaded + invalid}

# TYPE tgi_request_success counter
tgi_request_success ${succeeded}

# TYPE tgi_request_failure counter
tgi_request_failure{err="overloaded"} ${overloaded}
tgi_request_failure{err="validation"} ${invalid}

# TYPE tgi_batch_inference_count counter
tgi_batch_inference_count{method="prefill"} ${succeeded}
tgi_batch_inference_count{method="decode"} ${9 * succeeded}

# TYPE tgi_queue_size gauge
tgi_queue_size 2

# TYPE tgi_batch_current_size gauge
tgi_batch_current_size 12

# TYPE tgi_batch_current_max_tokens gauge
tgi_batch_current_max_tokens 4096

${seconds('tgi_request_duration', 0.8)}
${seconds('tgi_request_queue_duration', 0.05)}
${seconds('tgi_request_mean_time_per_token_duration', 0.08)}
${tokens('tgi_request_input_length', 30)}
${tokens('tgi_request_generated_tokens', 10)}
`;
}

/** llama.cpp's server with `--metrics`: 25 ms a token. */
export function llamaCppPage(outputTokens: number): string {
  const metric = (name: string, type: string, help: string, value: number | string) =>
    `# HELP llamacpp:${name} ${help}\n# TYPE llamacpp:${name} ${type}\nllamacpp:${name} ${value}\n`;
  return [
    metric('prompt_tokens_total', 'counter', 'Number of prompt tokens processed.', 5 * outputTokens),
    metric('prompt_seconds_total', 'counter', 'Prompt process time', 0.001 * outputTokens),
    metric('tokens_predicted_total', 'counter', 'Number of generation tokens processed.', outputTokens),
    metric('tokens_predicted_seconds_total', 'counter', 'Predict process time', 0.025 * outputTokens),
    metric('n_decode_total', 'counter', 'Total number of llama_decode() calls', outputTokens),
    metric('n_busy_slots_per_decode', 'counter', 'Average number of busy slots per llama_decode() call', 1),
    metric('prompt_tokens_seconds', 'gauge', 'Average prompt throughput in tokens/s.', 'nan'),
    metric('predicted_tokens_seconds', 'gauge', 'Average generation throughput in tokens/s.', 40),
    metric('requests_processing', 'gauge', 'Number of requests processing.', 2),
    metric('requests_deferred', 'gauge', 'Number of requests deferred.', 11),
  ].join('');
}

/** The DCGM exporter on a machine with two GPUs, one of which cannot tell everything. Memory in MiB. */
export function dcgmPage({ profiling = true } = {}): string {
  const gpu = (index: number, container = '') =>
    `{gpu="${index}",UUID="GPU-604ac76c-d9cf-fef3-62e9-d92044ab6e5${index}",pci_bus_id="00000000:0${index}:00.0",` +
    `device="nvidia${index}",modelName="NVIDIA H100 80GB HBM3",Hostname="node-1",container="${container}",namespace="",pod=""}`;
  const metric = (name: string, type: string, help: string, first: number | string, second: number | string) =>
    `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${name}${gpu(0, 'llm')} ${first}\n${name}${gpu(1)} ${second}\n`;
  const blank = '9223372036854775794';
  return [
    metric('DCGM_FI_DEV_SM_CLOCK', 'gauge', 'SM clock frequency (in MHz).', 1980, 345),
    metric('DCGM_FI_DEV_MEMORY_TEMP', 'gauge', 'Memory temperature (in C).', 49, blank),
    metric(
      'DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION',
      'counter',
      'Total energy consumption since boot (in mJ).',
      1e12,
      blank,
    ),
    metric('DCGM_FI_DEV_GPU_UTIL', 'gauge', 'GPU utilization (in %).', 98, 10),
    metric('DCGM_FI_DEV_FB_FREE', 'gauge', 'Framebuffer memory free (in MiB).', 20_000, 81_000),
    metric('DCGM_FI_DEV_FB_USED', 'gauge', 'Framebuffer memory used (in MiB).', 61_000, blank),
    ...(profiling
      ? [
          metric(
            'DCGM_FI_PROF_GR_ENGINE_ACTIVE',
            'gauge',
            'Ratio of time the graphics engine is active.',
            '0.700000',
            '0.100000',
          ),
          metric(
            'DCGM_FI_PROF_DRAM_ACTIVE',
            'gauge',
            'Ratio of cycles the memory interface is active.',
            0.4,
            '140737488355328.000000',
          ),
        ]
      : []),
  ].join('');
}
