// The user's own row: contract 1.7.

import { APP } from '../parts.mjs'
import { PASSWORD, collection, enter, signIn } from './basis.mjs'

const { list, add } = collection()
export default list

add('update-user', 'main', async (s) => {
  const anna = await enter(s, 'anna.update')
  await anna.call('updateUser', { name: 'Anna Ardent' })
  await anna.call('updateUser', { image: 'https://img.example.test/2.png' })
  await anna.call('getSession')
  await anna.call('updateUser', 'no picture', { image: null })
  await anna.call('getSession')
  await anna.post('nothing', '/update-user', {})
  await anna.post('e-mail', '/update-user', { email: 'x.update@example.org' })
  await anna.post('e-mail and name', '/update-user', { name: 'X', email: 'x.update@example.org' })
  await anna.post('a list', '/update-user', ['x'])
  await anna.post('text', '/update-user', 'x')
  await anna.post('a role', '/update-user', { role: 'admin' })
  await anna.post('a ban', '/update-user', { banned: true, name: 'X' })
  await anna.post('two-factor', '/update-user', { twoFactorEnabled: true })
  await anna.post('emailVerified', '/update-user', { emailVerified: true })
  await anna.post('an id', '/update-user', { id: 'chosen' })
  await anna.post('unknown', '/update-user', { nickname: 'x' })
  await anna.post('a number as name', '/update-user', { name: 5 })
  await anna.post('an empty name', '/update-user', { name: '' })
  await anna.call('getSession')
  await s.browser().call('updateUser', 'nobody', { name: 'X' })
})

add('delete-user', 'main', async (s) => {
  const anna = await enter(s, 'anna.delete')
  const second = s.browser()
  await signIn(second, anna.email)
  await s.browser().call('deleteUser', 'nobody', {})
  await anna.call('deleteUser', 'wrong password', { password: 'wrong-password' })
  await anna.call('deleteUser', 'unknown token', { token: 'unknown' })
  await anna.call('deleteUser', 'right password', { password: PASSWORD })
  await anna.call('getSession')
  await second.call('getSession')
  await signIn(anna, anna.email, PASSWORD, 'gone')
  const bob = await enter(s, 'bob.delete')
  await bob.call('deleteUser', 'fresh, without password')
  await bob.call('getSession')
  const old = await enter(s, 'old.delete')
  if (!s.can('age')) return
  await s.control('age', { email: old.email, token: old.token, days: 1.5 })
  await old.call('deleteUser', 'not fresh, without password')
  await old.call('deleteUser', 'not fresh, with password', { password: PASSWORD })
})

add('delete-user by mail', 'strict', async (s) => {
  const anna = await enter(s, 'anna.deletemail')
  const first = await s.mail(anna.email)
  await anna.get('proof', first?.link ?? '/verify-email?token=none')
  await signIn(anna, anna.email)
  await anna.call('deleteUser', { callbackURL: `${APP}/bye` })
  const letter = await s.mail(anna.email)
  await s.browser().get('the link, not signed in', letter?.link ?? '/delete-user/callback?token=none')
  await anna.get('an unknown token', '/delete-user/callback?token=unknown')
  await anna.get('no token', '/delete-user/callback')
  await anna.get('the link', letter?.link ?? '/delete-user/callback?token=none')
  await anna.call('getSession')
  await signIn(anna, anna.email, PASSWORD, 'gone')
})

add('what an app may switch off', 'bare', async (s) => {
  const anna = s.browser()
  await anna.post('change-email', '/change-email', { newEmail: 'x@example.org' })
  await anna.post('delete-user', '/delete-user', {})
  await anna.get('delete-user/callback', '/delete-user/callback?token=x')
  await anna.get('reset-password', '/reset-password/none?callbackURL=/x')
  await anna.post('reset-password', '/reset-password', { newPassword: PASSWORD, token: 'x' })
  await anna.get('verify-email', '/verify-email?token=x')
})
