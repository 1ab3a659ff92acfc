import type { Page } from '@playwright/test'
import type { WebClient } from './relying/web'
import type { AuthServer, Person } from './server'
import type { Words } from './words'

/** What a state is made in. */
export interface World {
  page: Page
  server: AuthServer
  client: WebClient
  person: Person
  t: Words
  signInAs: (person: { email: string; password: string }) => Promise<void>
}

export interface State {
  name: string
  open: (world: World) => Promise<void>
  /** What the browser says on the way there. */
  allow?: RegExp[]
}

export const button = ({ page }: World, name: string) => page.getByRole('button', { name, exact: true })

export async function asAdmin(world: World, path: string) {
  await world.signInAs(world.server.admin)
  await world.page.goto(path)
}

export async function asPerson(world: World, path: string) {
  await world.signInAs(world.person)
  await world.page.goto(path)
}
