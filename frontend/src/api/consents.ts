import { request } from './http'

export interface Consent {
  clientId: string
  name: string
  logoUri?: string
  homepageUri?: string
  scopes: string[]
  createdAt: string
  updatedAt: string
  lastUsedAt?: string
}

export const listConsents = () => request<Consent[]>('GET', '/api/auth/oauth2/consents')

export const deleteConsent = (clientId: string) =>
  request<void>('DELETE', `/api/auth/oauth2/consents/${encodeURIComponent(clientId)}`)
