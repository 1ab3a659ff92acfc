import { request } from './http'

export interface Config {
  appName: string
  logoUrl?: string
  signUpEnabled: boolean
  passwordMinLength: number
  passwordMaxLength: number
  version: string
  locales: string[]
  issuer: string
}

export const getConfig = () => request<Config>('GET', '/api/auth/config')
