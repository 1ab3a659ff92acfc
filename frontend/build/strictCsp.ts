import type { Plugin } from 'vite'

const colorsPlugin = /@nuxt\/ui\/dist\/runtime\/plugins\/colors\.js/
const drawer = /\/vaul-vue\//

/**
 * Keeps out what writes a <style> element at run time, which `style-src 'self'` forbids. Nuxt UI's colours plugin is replaced;
 * the variables that it would write are in src/main.css. UDrawer's library cannot be had without its injected styles, so
 * using it fails the build here instead of breaking the page's look in production; so does an upgrade that moves the plugin.
 */
export function strictCsp(): Plugin {
  let replaced = false
  let building = false
  return {
    name: 'strict-csp',
    enforce: 'pre',
    configResolved(config) {
      building = config.command === 'build'
    },
    load(id) {
      if (!colorsPlugin.test(id)) return
      replaced = true
      return 'export default () => {}'
    },
    buildEnd(failure) {
      if (building && !failure && !replaced) this.error('@nuxt/ui no longer has the plugin that strictCsp replaces')
    },
    generateBundle(_options, bundle) {
      for (const chunk of Object.values(bundle)) {
        if (chunk.type === 'chunk' && Object.keys(chunk.modules).some((id) => drawer.test(id))) {
          this.error('vaul-vue injects styles from JavaScript: strip the injector and import the same rules as CSS')
        }
      }
    },
  }
}
