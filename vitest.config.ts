import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Real sockets and processes: slow machines need room, and no assertion depends on how long a test takes.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
