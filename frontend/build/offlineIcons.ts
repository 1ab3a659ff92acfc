import type { Plugin } from 'vite'

const id = '\0offline-icons'

/**
 * Gives Nuxt UI the edition of Iconify that cannot load anything: icons come with the build or not at all. The usual edition
 * asks api.iconify.design for an icon that it does not know, which tells another host who is here.
 */
export function offlineIcons(): Plugin {
  return {
    name: 'offline-icons',
    enforce: 'pre',
    resolveId: (name) => (name === '@iconify/vue' ? id : undefined),
    load(name) {
      if (name !== id) return
      return `import { addIcon as add } from '@iconify/vue/offline'
export { Icon } from '@iconify/vue/offline'
// The bundle says "lucide:check", the components ask for "lucide-check"; this edition compares names as they are.
export const addIcon = (name, data) => (add(name, data), add(name.replace(':', '-'), data))
export const iconLoaded = () => true`
    },
  }
}
