import { request } from './http'
import type { components } from './schema'

export type Consent = components['schemas']['Consent']

export const listConsents = () => request<Consent[]>('GET', '/api/auth/oauth2/consents')

export const deleteConsent = (clientId: string) =>
  request<void>('DELETE', `/api/auth/oauth2/consents/${encodeURIComponent(clientId)}`)
