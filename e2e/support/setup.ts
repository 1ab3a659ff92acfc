import { ensureBinary } from './binary'
import { startPostgres } from './postgres'

/** Runs once before all tests. What it finds reaches the workers through the environment. */
export default async function setup() {
  process.env.E2E_BINARY = ensureBinary()
  const postgres = await startPostgres()
  process.env.E2E_POSTGRES_URL = postgres.url
  return postgres.stop
}
