import { describe, expect, it } from 'vitest';
import { ResponseReader } from '../../deploy/demo/http-client.ts';
import { whyInstall } from '../../deploy/demo/install.ts';

describe("the demo's own install", () => {
  const wanted = {
    packages: {
      '': {},
      'node_modules/a': { version: '1.0.0' },
      'node_modules/b': { version: '2.0.0', optional: true },
    },
  };

  it('is needed when nothing is there, something is missing, or another version is', () => {
    expect(whyInstall(wanted, undefined)).toMatch(/not installed/);
    expect(whyInstall(wanted, { packages: {} })).toMatch(/node_modules\/a is missing/);
    expect(whyInstall(wanted, { packages: { 'node_modules/a': { version: '0.9.0' } } })).toMatch(
      /0\.9\.0, and 1\.0\.0/,
    );
  });

  it('is not needed when all is there but what is optional', () => {
    expect(whyInstall(wanted, { packages: { 'node_modules/a': { version: '1.0.0' } } })).toBeUndefined();
  });
});

describe("the load generator's reader", () => {
  const response = 'HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\ncontent-length: 4\r\n\r\nfull';

  it('reads responses whatever way their bytes are cut', () => {
    const bytes = Buffer.from(response + response.replace('503', '200'));
    for (let cut = 1; cut < response.length; cut++) {
      const reader = new ResponseReader();
      const first = reader.push(bytes.subarray(0, cut));
      expect(first).toBeUndefined();
      expect(reader.push(bytes.subarray(cut, response.length))).toBe(503);
      expect(reader.push(bytes.subarray(response.length))).toBe(200);
    }
  });

  it('says what it cannot read', () => {
    expect(() => new ResponseReader().push(Buffer.from('HTTP/1.1 200 OK\r\n\r\n'))).toThrow(/content-length/);
  });
});
