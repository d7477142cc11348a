import { configDefaults, defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Needs the demo's heavy dependencies: `npm run test:demo`.
    exclude: [...configDefaults.exclude, 'test/e2e/demo_server.test.ts'],
    // Real sockets and processes: slow machines need room, and no assertion depends on how long a test takes.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
