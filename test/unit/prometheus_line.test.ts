import { describe, expect, it } from 'vitest';
import { DEFAULT_LINE_LIMITS, type Format, readLine } from '../../agent/adapters/prometheus/line.ts';

const line = (text: string, format: Format = 'text') => readLine(text, format, DEFAULT_LINE_LIMITS);
const reason = (text: string, format: Format = 'text') => {
  const read = line(text, format);
  return read.kind === 'bad' ? read.reason : `read as ${read.kind}`;
};

describe('a sample', () => {
  it.each([
    ['up 1', { name: 'up', labels: [], value: 1 }],
    ['  up\t 1  ', { name: 'up', labels: [], value: 1 }],
    ['up 1\r', { name: 'up', labels: [], value: 1 }],
    ['vllm:num_requests_running{engine="0"} 8.0', { labels: [['engine', '0']], value: 8 }],
    [
      'a{x="1",y="2",} 3',
      {
        labels: [
          ['x', '1'],
          ['y', '2'],
        ],
      },
    ],
    [
      'a{ x = "1" , y="2" } 3',
      {
        labels: [
          ['x', '1'],
          ['y', '2'],
        ],
      },
    ],
    [
      'a{gpu="0", UUID="GPU-1"} 3',
      {
        labels: [
          ['gpu', '0'],
          ['UUID', 'GPU-1'],
        ],
      },
    ],
    ['a{} 3', { labels: [], value: 3 }],
    ['a {x="1"} 3', { labels: [['x', '1']] }],
    ['a{x="1"}3', { labels: [['x', '1']], value: 3 }],
    // Empty is absent.
    ['a{container="",pod="p"} 3', { labels: [['pod', 'p']] }],
    [String.raw`a{x="say \"hi\"\n\\n C:\dir"} 1`, { labels: [['x', 'say "hi"\n\\n C:\\dir']] }],
    ['a{x="} # 7 {,="} 1', { labels: [['x', '} # 7 {,=']], value: 1 }],
    ['a{x="日本"} 1', { labels: [['x', '日本']] }],
    ['a 1.5e-3', { value: 0.0015 }],
    ['a -.5E+2', { value: -50 }],
    ['a 5.', { value: 5 }],
    ['a 9223372036854775794', { value: 2 ** 63 }],
    ['a +Inf', { value: Number.POSITIVE_INFINITY }],
    ['a -inf', { value: Number.NEGATIVE_INFINITY }],
    ['a NaN', { value: Number.NaN }],
    ['a nan', { value: Number.NaN }],
    ['a 1 1700000000123', { value: 1, timestampMs: 1_700_000_000_123 }],
    ['a 1 # {trace_id="x"} 0.5', { value: 1 }],
  ])('%s', (text, want) => {
    expect(line(text)).toMatchObject({ kind: 'sample', ...want });
  });

  it('has its timestamp in seconds in OpenMetrics', () => {
    expect(line('a 1 1700000000.123', 'openmetrics')).toMatchObject({ timestampMs: 1_700_000_000_123 });
  });

  it('may carry an exemplar, which is skipped', () => {
    expect(line('a_bucket{le="1"} 8 1.5 # {trace_id="K # }"} 0.67 1.2', 'openmetrics')).toEqual({
      ...{ kind: 'sample', name: 'a_bucket', labels: [['le', '1']], value: 8, timestampMs: 1_500 },
    });
  });

  it.each([
    ['1up 1', 'cannot begin with "1"'],
    ['up', 'the value "" is not a number'],
    ['up one', 'the value "one" is not a number'],
    ['up 0x10', 'is not a number'],
    ['up 1_000', 'is not a number'],
    ['up 1e', 'is not a number'],
    ['up-time 1', '"-" cannot stand in a metric name'],
    ['up 1 soon', 'the timestamp "soon" is not a number'],
    ['up 1 NaN', 'the timestamp "NaN" is not a number'],
    ['up 1 2 3', '"3" stands after the timestamp'],
    ['up{x="1" 1', 'no comma and no closing brace after label x'],
    ['up{x="1"', 'no comma and no closing brace after label x'],
    ['up{', 'no closing brace'],
    ['up{x="1} 1', 'does not end with a quote'],
    [String.raw`up{x="1\"} 1`, 'does not end with a quote'],
    ['up{x=1} 1', 'does not begin with a quote'],
    ['up{x} 1', 'no "=" after label x'],
    ['up{x="1",x="2"} 1', 'label x stands twice'],
    ['up{x="1",x=""} 1', 'label x stands twice'],
    ['up{1="1"} 1', 'a label name cannot begin with "1"'],
    ['up{"utf.8"} 1', 'a label name cannot begin with'],
    ['<html><body>404</body></html>', 'a metric name cannot begin with "<"'],
    ['{"status":"ok"}', 'a metric name cannot begin with "{"'],
  ])('%s is refused', (text, want) => {
    expect(reason(text)).toContain(want);
  });

  it('has limits', () => {
    expect(reason(`${'a'.repeat(257)} 1`)).toBe('the metric name is longer than 256');
    expect(reason(`a{${'b'.repeat(257)}="1"} 1`)).toBe('a label name is longer than 256');
    expect(reason(`a{b="${'c'.repeat(2_049)}"} 1`)).toBe('the value of label b is longer than 2048');
    const labels = Array.from({ length: 65 }, (_, i) => `l${i}="v"`);
    expect(reason(`a{${labels.join(',')}} 1`)).toBe('more than 64 labels');
    expect(line(`a{${labels.slice(1).join(',')}} 1`)).toMatchObject({ kind: 'sample' });
    // What is told of a page goes into a log.
    expect(reason(`a ${'x'.repeat(10_000)}`).length).toBeLessThan(100);
  });
});

describe('a comment', () => {
  it.each<[string, Format, object]>([
    ['', 'text', { kind: 'nothing' }],
    ['   ', 'text', { kind: 'nothing' }],
    ['# HELP up Whether it is up.', 'text', { kind: 'nothing' }],
    ['# anything { at "all', 'text', { kind: 'nothing' }],
    ['#TYPE up nonsense', 'text', { kind: 'nothing' }],
    ['#', 'text', { kind: 'nothing' }],
    ['# TYPE up gauge', 'text', { kind: 'type', family: 'up', type: 'gauge' }],
    ['#  TYPE\tup   gauge ', 'text', { kind: 'type', family: 'up', type: 'gauge' }],
    ['# TYPE x gaugehistogram', 'openmetrics', { kind: 'type', family: 'x', type: 'gaugehistogram' }],
    ['# UNIT x_seconds seconds', 'openmetrics', { kind: 'unit', family: 'x_seconds', unit: 'seconds' }],
    ['# EOF', 'openmetrics', { kind: 'end' }],
    ['# EOF', 'text', { kind: 'nothing' }],
  ])('%j in %s', (text, format, want) => {
    expect(line(text, format)).toEqual(want);
  });

  it.each(['# TYPE up', '# TYPE', '# TYPE up speed', '# TYPE up gauge counter'])('%s is refused', (text) => {
    expect(reason(text)).toContain('one of counter, gauge, histogram, summary');
  });
});
