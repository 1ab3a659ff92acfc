import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Plugin } from 'vite'

/**
 * Puts the theme script into <head> as a classic, blocking script. Vite leaves such scripts alone, so this gives it a hashed
 * name of its own: with one it is cached like every other asset, and a second visit does not ask for it again.
 */
export function themeScript(file: string): Plugin {
  const source = readFileSync(file, 'utf8')
  const fileName = `assets/theme-${createHash('sha256').update(source).digest('hex').slice(0, 8)}.js`
  let building = false
  return {
    name: 'theme-script',
    configResolved(config) {
      building = config.command === 'build'
    },
    generateBundle() {
      this.emitFile({ type: 'asset', fileName, source })
    },
    transformIndexHtml() {
      return [{ tag: 'script', attrs: { src: building ? `/${fileName}` : '/src/theme.js' }, injectTo: 'head-prepend' }]
    },
  }
}
