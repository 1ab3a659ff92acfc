import type { ClientType } from '@/api/clients'
import { curl, goMachine, nodeMachine, pythonMachine } from './machine'
import { android, browser, go, node, python } from './people'

/** What a snippet is filled with: the real values of one client. */
export interface Values {
  issuer: string
  clientId: string
  redirectUri: string
  scopes: string[]
  confidential: boolean
}

export interface Snippet {
  id: string
  label: string
  /** Installs what the code imports; empty when nothing is needed. */
  install: string
  file: string
  code: string
}

const byType: Record<ClientType, ((values: Values) => Snippet)[]> = {
  web: [node, go, python],
  spa: [browser],
  native: [go, node],
  m2m: [curl, nodeMachine, goMachine, pythonMachine],
}

/** The quick starts that suit a client of the type, the most used first. */
export function snippetsFor(type: ClientType, values: Values): Snippet[] {
  const ownScheme = type === 'native' && !values.redirectUri.startsWith('http')
  return (ownScheme ? [android] : byType[type]).map((snippet) => snippet(values))
}
