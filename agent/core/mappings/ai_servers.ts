import type { SignalMapping } from '../signals.ts';
import { latency, level, resource, tokens } from './rows.ts';

/*
 * Names on the Prometheus pages of AI servers, as their documentation and sources have them. Ranks lie between what the
 * GenAI conventions say (10) and HTTP (20), each server with ranks of its own, so that one behind another is never counted
 * twice; where a server renamed a metric and serves both for a while, the old name ranks one later. Counters are named as
 * their samples are, with `_total` where there is one.
 */

const MIB = 2 ** 20;
const anyPoint = {};
/** Ranks of a tensor-parallel group report the same requests; those of a data-parallel group do not. */
const firstOfGroup = { tp_rank: ['', '0'] };

/** Requests that were aborted are in the histogram too, without saying so: the counter beside it knows. */
const VLLM: readonly SignalMapping[] = [
  latency(11, 'vllm:e2e_request_latency_seconds', 'responseTime', 's'),
  {
    ...{ rank: 11, metric: 'vllm:request_success_total', signal: 'requests', times: 'histogram' },
    outcome: { attribute: 'finished_reason', errorValues: ['abort', 'error'] },
  },
  latency(11, 'vllm:time_to_first_token_seconds', 'timeToFirstToken', 's'),
  latency(11, 'vllm:inter_token_latency_seconds', 'timePerOutputToken', 's'),
  latency(12, 'vllm:time_per_output_token_seconds', 'timePerOutputToken', 's'),
  latency(11, 'vllm:request_queue_time_seconds', 'queueTime', 's'),
  level(11, 'vllm:num_requests_waiting', 'queueDepth'),
  level(11, 'vllm:num_requests_running', 'inFlight'),
  level(11, 'vllm:kv_cache_usage_perc', 'cacheUsage'),
  level(12, 'vllm:gpu_cache_usage_perc', 'cacheUsage'),
  tokens(11, 'vllm:prompt_tokens_total', 'input'),
  tokens(11, 'vllm:generation_tokens_total', 'output'),
];

/** A request that was aborted while it ran is counted as aborted and as finished. */
const SGLANG: readonly SignalMapping[] = [
  latency(13, 'sglang:e2e_request_latency_seconds', 'responseTime', 's'),
  { rank: 13, metric: 'sglang:num_requests_total', signal: 'requests', outcome: 'ok', times: 'histogram' },
  { rank: 13, metric: 'sglang:num_aborted_requests_total', signal: 'requests', outcome: 'error', times: 'histogram' },
  latency(13, 'sglang:time_to_first_token_seconds', 'timeToFirstToken', 's'),
  latency(13, 'sglang:inter_token_latency_seconds', 'timePerOutputToken', 's'),
  latency(14, 'sglang:time_per_output_token_seconds', 'timePerOutputToken', 's'),
  latency(13, 'sglang:queue_time_seconds', 'queueTime', 's'),
  { ...level(13, 'sglang:num_queue_reqs', 'queueDepth'), where: firstOfGroup },
  { ...level(13, 'sglang:num_running_reqs', 'inFlight'), where: firstOfGroup },
  { ...level(13, 'sglang:token_usage', 'cacheUsage'), where: firstOfGroup },
  tokens(13, 'sglang:prompt_tokens_total', 'input'),
  tokens(13, 'sglang:generation_tokens_total', 'output'),
];

/** Only successes are timed. A request that never could succeed (`validation`) is the client's fault, and counts as neither. */
const TGI: readonly SignalMapping[] = [
  latency(15, 'tgi_request_duration', 'responseTime', 's'),
  { rank: 15, metric: 'tgi_request_success', signal: 'requests', outcome: 'ok', times: 'histogram' },
  {
    ...{ rank: 15, metric: 'tgi_request_failure', signal: 'requests', outcome: 'error', times: 'histogram' },
    where: { err: ['overloaded', 'generation', 'incomplete', 'dropped'] },
  },
  latency(15, 'tgi_request_mean_time_per_token_duration', 'timePerOutputToken', 's'),
  latency(15, 'tgi_request_queue_duration', 'queueTime', 's'),
  level(15, 'tgi_queue_size', 'queueDepth'),
  level(15, 'tgi_batch_current_size', 'inFlight'),
  tokens(15, 'tgi_request_input_length', 'input'),
  tokens(15, 'tgi_request_generated_tokens', 'output'),
];

/**
 * Durations are counters of microseconds over successful requests. An ensemble's steps are models too and are counted beside
 * it: who serves ensembles maps `nv_inference_request_success` and its durations `where` the model is the ensemble.
 */
const TRITON: readonly SignalMapping[] = [
  { rank: 16, metric: 'nv_inference_request_success', signal: 'requests', outcome: 'ok', times: 'total' },
  { rank: 16, metric: 'nv_inference_request_failure', signal: 'requests', outcome: 'error', times: 'total' },
  { rank: 16, metric: 'nv_inference_request_duration_us', signal: 'totalTime', of: 'responseTime', unit: 'us' },
  { rank: 16, metric: 'nv_inference_queue_duration_us', signal: 'totalTime', of: 'queueTime', unit: 'us' },
  latency(16, 'nv_inference_first_response_histogram_ms', 'timeToFirstToken', 'ms'),
  level(16, 'nv_inference_pending_request_count', 'queueDepth'),
  resource(33, 'nv_gpu_utilization', 'gpu', 'host', 'utilization', anyPoint),
  resource(33, 'nv_gpu_memory_used_bytes', 'gpuMemory', 'host', 'usage', anyPoint),
  resource(33, 'nv_gpu_memory_total_bytes', 'gpuMemory', 'host', 'limit', anyPoint),
];

/** Neither counts requests nor times them: response times come from whoever sends it requests. */
const LLAMA_CPP: readonly SignalMapping[] = [
  level(17, 'llamacpp:requests_deferred', 'queueDepth'),
  level(17, 'llamacpp:requests_processing', 'inFlight'),
  level(17, 'llamacpp:kv_cache_usage_ratio', 'cacheUsage'),
  tokens(17, 'llamacpp:prompt_tokens_total', 'input'),
  {
    ...{ rank: 17, metric: 'llamacpp:tokens_predicted_total', signal: 'tokens', direction: 'output' },
    times: 'total',
  },
  {
    rank: 17,
    metric: 'llamacpp:tokens_predicted_seconds_total',
    signal: 'totalTime',
    of: 'timePerOutputToken',
    unit: 's',
  },
];

/** Of the machine. The profiling field measures work done, the older one whether there was any. Memory is in MiB. */
const DCGM: readonly SignalMapping[] = [
  resource(31, 'DCGM_FI_PROF_GR_ENGINE_ACTIVE', 'gpu', 'host', 'utilization', anyPoint),
  resource(32, 'DCGM_FI_DEV_GPU_UTIL', 'gpu', 'host', 'utilization', anyPoint, 0.01),
  resource(31, 'DCGM_FI_DEV_FB_USED', 'gpuMemory', 'host', 'usage', anyPoint, MIB),
  resource(31, 'DCGM_FI_DEV_FB_TOTAL', 'gpuMemory', 'host', 'limit', anyPoint, MIB),
];

export const AI_SERVER_MAPPINGS: readonly SignalMapping[] = [
  ...VLLM,
  ...SGLANG,
  ...TGI,
  ...TRITON,
  ...LLAMA_CPP,
  ...DCGM,
];
