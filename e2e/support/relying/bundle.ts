import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

/** Bundles a script of this folder, with the libraries that it imports, for a browser. */
export async function bundle(name: string): Promise<string> {
  const entry = fileURLToPath(new URL(`./pages/${name}`, import.meta.url))
  const result = await build({
    entryPoints: [entry],
    bundle: true,
    format: 'esm',
    target: 'es2022',
    write: false,
    logLevel: 'silent',
  })
  return result.outputFiles[0]?.text ?? ''
}
