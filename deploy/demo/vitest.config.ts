import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** The tests that need the model and its runtime: `npm run test:demo` in the repository's root. */
export default defineConfig({
  test: {
    root: fileURLToPath(new URL('../..', import.meta.url)),
    include: ['test/e2e/demo_server.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
