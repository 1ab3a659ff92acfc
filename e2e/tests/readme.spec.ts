import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import ts from 'typescript'
import { repository } from '../support/binary'
import { expect, test } from '../support/fixtures'
import { bodyOf, Site } from '../support/relying/site'
import { unique } from '../support/server'

const run = promisify(execFile)

/** The TypeScript under "How an application records". What is there in other languages is run by readme_test.go. */
function snippet(): string {
  const [, after] = readFileSync(join(repository, 'README.md'), 'utf8').split('\n### How an application records\n')
  const code = /\n```ts\n(.*?)\n```\n/s.exec(after?.split('\n## ')[0] ?? '')?.[1]
  if (!code) throw new Error('The README shows no TypeScript under "How an application records".')
  return code
}

/** Compiles a file as a strict project would, and returns what is wrong with it. */
function compile(file: string, outDir: string): string[] {
  const program = ts.createProgram([file], {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    moduleDetection: ts.ModuleDetectionKind.Force,
    strict: true,
    skipLibCheck: true,
    types: ['node'],
    typeRoots: [join(repository, 'e2e/node_modules/@types')],
    outDir,
  })
  const diagnostics = [...ts.getPreEmitDiagnostics(program), ...program.emit().diagnostics]
  return diagnostics.map((diagnostic) => ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n'))
}

// Whoever copies it meets a proxy that loses requests and answers, a server that is busy and a token that was taken back.
test('the TypeScript of the README records once, whatever happens on the way', async ({ server }) => {
  const application = await server.application({ name: unique('Meter'), type: 'm2m' })
  const person = await server.person()
  const records: string[] = []
  const site = await Site.start(async (url, request) => {
    const body = await bodyOf(request)
    const answer = await fetch(server.origin + url.pathname, {
      method: 'POST',
      headers: {
        'Content-Type': request.headers['content-type'] ?? '',
        Authorization: request.headers.authorization ?? '',
      },
      body,
    })
    if (url.pathname === '/api/consumption') {
      records.push(body)
      if (records.length === 1) request.socket.destroy() // after the server has done it
      if (records.length === 2) return { status: 502, body: 'Bad Gateway' }
      if (records.length === 3) return { status: 503, headers: { 'Retry-After': '1' } }
      if (records.length === 4) return { status: 401, body: '{"code":"INVALID_TOKEN"}' }
    }
    return { status: answer.status, body: await answer.text() }
  })
  const folder = mkdtempSync(join(tmpdir(), 'e2e-readme-'))
  writeFileSync(join(folder, 'record.ts'), snippet())
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  expect(compile(join(folder, 'record.ts'), folder)).toEqual([])
  const { stdout } = await run(process.execPath, [join(folder, 'record.js')], {
    env: {
      AUTH: site.origin,
      CLIENT_ID: application.clientId,
      CLIENT_SECRET: application.clientSecret ?? '',
      USER_ID: person.id,
    },
  })
  expect(stdout).toBe('0.3\n')
  expect(records).toHaveLength(5)
  expect(new Set(records).size, 'each try carries the same idempotency key').toBe(1)
  await site.stop()
  rmSync(folder, { recursive: true })
})
