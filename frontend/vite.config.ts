import { fileURLToPath } from 'node:url'
import i18n from '@intlify/unplugin-vue-i18n/vite'
import ui from '@nuxt/ui/vite'
import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vitest/config'
import { offlineIcons } from './build/offlineIcons.ts'
import { precompress } from './build/precompress.ts'
import { strictCsp } from './build/strictCsp.ts'
import { themeScript } from './build/themeScript.ts'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const server = process.env.DEV_SERVER ?? 'http://127.0.0.1:3001'

export default defineConfig({
  plugins: [
    strictCsp(),
    offlineIcons(),
    vue(),
    ui({
      autoImport: false, // a reader sees where each name comes from
      components: false,
      colorMode: false, // useColorMode injects a <style> on every switch; stores/theme.ts replaces it
      ui: { colors: { primary: 'indigo', neutral: 'zinc' } },
      theme: { colors: ['primary', 'success', 'info', 'warning', 'error'] },
      icon: { clientBundle: { scan: { globInclude: ['src/**/*.{vue,ts}'] }, sizeLimitKb: 256 } },
      experimental: { componentDetection: true }, // styles of the used components only
    }),
    i18n({
      include: [here('./src/locales/**/*.json')],
      runtimeOnly: true,
      compositionOnly: true,
      fullInstall: false,
      dropMessageCompiler: true, // the compiler needs unsafe-eval; messages are compiled at build time
      strictMessage: true,
    }),
    themeScript(here('./src/theme.js')),
    precompress(),
  ],
  resolve: { alias: { '@': here('./src') } },
  build: {
    outDir: here('../ui/dist'),
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      output: {
        // What every visit needs travels as one file instead of thirty: fewer requests, and compressed together.
        codeSplitting: { groups: [{ name: 'main', tags: ['$initial'] }] },
      },
    },
  },
  server: {
    port: 5173,
    proxy: { '/api': { target: server, xfwd: true }, '/.well-known': { target: server, xfwd: true } },
  },
  test: {
    environment: 'happy-dom',
    environmentOptions: { happyDOM: { url: 'http://idp.test' } },
    setupFiles: ['./src/testing/setup.ts'],
    restoreMocks: true,
    testTimeout: 30_000,
  },
})
