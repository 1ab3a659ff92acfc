import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import zlib from 'node:zlib'
import type { Plugin } from 'vite'

const brotli = promisify(zlib.brotliCompress)
const gzip = promisify(zlib.gzip)
// woff2 is brotli already.
const compressible = /\.(html|js|css|svg|json)$/

/** Writes a .br and a .gz beside each text file of the build, so that the server never compresses while someone waits. */
export function precompress(): Plugin {
  let outDir = ''
  return {
    name: 'precompress',
    apply: 'build',
    configResolved(config) {
      outDir = config.build.outDir
    },
    async closeBundle() {
      const files = await readdir(outDir, { recursive: true })
      for (const file of files.filter((name) => compressible.test(name))) await compress(join(outDir, file))
      // Vite empties the folder; the placeholder must stay, or a checkout without a build would not compile.
      await writeFile(join(outDir, '.gitkeep'), '')
    },
  }
}

async function compress(path: string) {
  const bytes = await readFile(path)
  const br = await brotli(bytes, {
    params: {
      [zlib.constants.BROTLI_PARAM_QUALITY]: zlib.constants.BROTLI_MAX_QUALITY,
      [zlib.constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    },
  })
  await writeFile(`${path}.br`, br)
  await writeFile(`${path}.gz`, await gzip(bytes, { level: zlib.constants.Z_BEST_COMPRESSION }))
}
