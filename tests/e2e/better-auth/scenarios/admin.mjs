// Administration of users: contract 5.7.

import { OTHER_PASSWORD, PASSWORD, collection, enter, enterAdmin, signIn } from './basis.mjs'

const { list, add } = collection()
export default list

add('users are administered', 'main', async (s) => {
  const root = await enterAdmin(s, 'root.admin')
  const bob = await enter(s, 'bob.admin')
  const calls = [
    ['admin.createUser', { email: 'x.admin@example.org', name: 'X', password: PASSWORD }],
    ['admin.listUsers', { query: { limit: 1 } }],
    ['admin.getUser', { query: { id: 'x' } }],
    ['admin.updateUser', { userId: 'x', data: { name: 'X' } }],
    ['admin.setRole', { userId: 'x', role: 'admin' }],
    ['admin.banUser', { userId: 'x' }],
    ['admin.unbanUser', { userId: 'x' }],
    ['admin.listUserSessions', { userId: 'x' }],
    ['admin.revokeUserSession', { sessionToken: 'x' }],
    ['admin.revokeUserSessions', { userId: 'x' }],
    ['admin.impersonateUser', { userId: 'x' }],
    ['admin.setUserPassword', { userId: 'x', newPassword: OTHER_PASSWORD }],
    ['admin.removeUser', { userId: 'x' }],
  ]
  for (const [method, args] of calls) await bob.call(method, 'a mere user', args)
  for (const [method, args] of calls.slice(0, 3)) await s.browser().call(method, 'nobody', args)
  const { data } = await root.call('admin.createUser', { email: 'Cleo.Admin@example.org', name: 'Cleopatra', password: PASSWORD, role: 'user', data: { image: 'https://img.example.test/c.png' } })
  const userId = data?.user?.id ?? 'none'
  await root.call('admin.createUser', 'once more', { email: 'cleo.admin@example.org', name: 'Cleo', password: PASSWORD })
  const { data: dora } = await root.call('admin.createUser', 'without password', { email: 'dora.admin@example.org', name: 'Dora' })
  await root.call('admin.createUser', 'odd address', { email: 'nobody', name: 'X', password: PASSWORD })
  await root.post('nothing', '/admin/create-user', {})
  const find = (about, query) => root.call('admin.listUsers', about, { query: { searchField: 'email', ...query } })
  await find('by the end of the address', { searchValue: '.admin@example.org', searchOperator: 'ends_with', sortBy: 'email', sortDirection: 'asc', limit: 10 })
  await find('two from the second', { searchValue: '.admin@example.org', searchOperator: 'ends_with', sortBy: 'email', sortDirection: 'desc', limit: 2, offset: 1 })
  await find('by name', { searchValue: 'Cleopa', searchField: 'name', searchOperator: 'starts_with' })
  await find('contains', { searchValue: 'cleo.adm' })
  await find('nobody', { searchValue: 'nobody-at-all' })
  await find('filtered', { searchValue: '.admin@', filterField: 'role', filterValue: 'admin', filterOperator: 'eq' })
  await find('odd limit', { searchValue: '.admin@', limit: 'many', sortBy: 'email', sortDirection: 'asc' })
  await root.call('admin.getUser', { query: { id: userId } })
  await root.call('admin.getUser', 'unknown', { query: { id: 'unknown' } })
  await root.call('admin.updateUser', { userId, data: { name: 'Cleo Two' } })
  await root.call('admin.updateUser', 'nothing', { userId, data: {} })
  await root.call('admin.updateUser', 'a password', { userId, data: { password: 'x' } })
  await root.call('admin.updateUser', 'unknown', { userId: 'unknown', data: { name: 'X' } })
  await root.call('admin.setRole', { userId, role: 'admin' })
  await root.call('admin.setRole', 'two roles', { userId, role: ['user', 'admin'] })
  await root.call('admin.setRole', 'an unknown role', { userId, role: 'captain' })
  await root.call('admin.setRole', 'unknown user', { userId: 'unknown', role: 'user' })
  await root.call('admin.setRole', 'back', { userId, role: 'user' })
  await root.call('admin.setUserPassword', { userId, newPassword: OTHER_PASSWORD })
  await root.call('admin.setUserPassword', 'short', { userId, newPassword: 'short' })
  await root.call('admin.setUserPassword', 'empty', { userId, newPassword: '' })
  await root.call('admin.setUserPassword', 'unknown', { userId: 'unknown', newPassword: OTHER_PASSWORD })
  const cleo = s.browser()
  await signIn(cleo, 'cleo.admin@example.org', OTHER_PASSWORD, 'the new password')
  const { data: sessions } = await root.call('admin.listUserSessions', { userId })
  await root.call('admin.listUserSessions', 'unknown', { userId: 'unknown' })
  await root.call('admin.revokeUserSession', { sessionToken: sessions?.sessions?.[0]?.token ?? 'none' })
  await root.call('admin.revokeUserSession', 'unknown', { sessionToken: 'unknown' })
  await cleo.call('getSession', 'revoked')
  await signIn(cleo, 'cleo.admin@example.org', OTHER_PASSWORD)
  await root.call('admin.revokeUserSessions', { userId })
  await cleo.call('getSession', 'revoked')
  await root.call('admin.hasPermission', { permissions: { user: ['ban'] } })
  await bob.call('admin.hasPermission', 'a mere user', { permissions: { user: ['ban'] } })
  await root.call('admin.hasPermission', 'unknown', { permissions: { boats: ['sail'] } })
  await bob.post('asks for another role', '/admin/has-permission', { permissions: { user: ['ban'] }, role: 'admin' })
  await root.post('nothing', '/admin/has-permission', {})
  await root.call('admin.removeUser', { userId })
  await root.call('admin.removeUser', 'once more', { userId })
  await root.call('admin.removeUser', 'oneself', { userId: root.user?.id ?? 'none' })
  await root.call('admin.updateUser', 'an id', { userId: dora?.user?.id ?? 'none', data: { id: 'chosen' } })
})

add('bans', 'main', async (s) => {
  const root = await enterAdmin(s, 'root.bans')
  const bob = await enter(s, 'bob.bans')
  const userId = bob.user?.id ?? 'none'
  await root.call('admin.banUser', 'oneself', { userId: root.user?.id ?? 'none' })
  await root.call('admin.banUser', { userId, banReason: 'Too loud' })
  await bob.call('getSession', 'banned')
  await signIn(bob, bob.email, PASSWORD, 'banned')
  await signIn(bob, bob.email, OTHER_PASSWORD, 'banned, wrong password')
  const start = await s.browser().call(...(s.v17 ? ['signIn.social', { provider: 'trusted', callbackURL: '/in', errorCallbackURL: '/oops' }] : ['signIn.oauth2', { providerId: 'trusted', callbackURL: '/in', errorCallbackURL: '/oops' }]))
  void start
  await root.call('admin.getUser', 'banned', { query: { id: userId } })
  await root.call('admin.unbanUser', { userId })
  await signIn(bob, bob.email, PASSWORD, 'let in again')
  await root.call('admin.banUser', 'for an hour, no reason', { userId, banExpiresIn: 3600 })
  await signIn(bob, bob.email, PASSWORD, 'banned for an hour')
  await root.call('admin.banUser', 'unknown', { userId: 'unknown' })
  await root.call('admin.unbanUser', 'unknown', { userId: 'unknown' })
})

add('an administrator is somebody else for a while', 'main', async (s) => {
  const root = await enterAdmin(s, 'root.else')
  const bob = await enter(s, 'bob.else')
  const other = await enterAdmin(s, 'other.else')
  await root.call('admin.stopImpersonating', 'not begun')
  await root.call('admin.impersonateUser', 'unknown', { userId: 'unknown' })
  await root.call('admin.impersonateUser', 'another administrator', { userId: other.user?.id ?? 'none' })
  await root.call('admin.impersonateUser', { userId: bob.user?.id ?? 'none' })
  await root.call('getSession', 'as bob')
  await root.call('admin.listUsers', 'as bob', { query: { limit: 1 } })
  await bob.call('listSessions', 'what bob sees')
  await root.call('admin.stopImpersonating')
  await root.call('getSession', 'as oneself')
  await s.browser().call('admin.stopImpersonating', 'nobody')
})
