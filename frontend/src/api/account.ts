import { request } from './http'
import type { components } from './schema'

export type User = components['schemas']['UserBody']
export type SignedIn = components['schemas']['CurrentBody']

/** The signed-in person, or null: the server answers 200 either way, because being signed out is no error. */
export const getSession = () => request<SignedIn | null>('GET', '/api/auth/get-session')

export const signIn = (body: components['schemas']['SignInRequest']) =>
  request<components['schemas']['SignInAnswer']>('POST', '/api/auth/sign-in/email', { body })

export const signUp = (body: components['schemas']['SignUpRequest']) =>
  request<components['schemas']['SignUpAnswer']>('POST', '/api/auth/sign-up/email', { body })

export const signOut = () => request<void>('POST', '/api/auth/sign-out', { body: {} })

export const updateUser = (body: components['schemas']['UpdateUserRequest']) =>
  request<void>('POST', '/api/auth/update-user', { body })

export const changePassword = (body: components['schemas']['ChangePasswordRequest']) =>
  request<void>('POST', '/api/auth/change-password', { body })

export const deleteUser = (body: { password: string }) => request<void>('POST', '/api/auth/delete-user', { body })
