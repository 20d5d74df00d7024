// The real better-auth on free ports of 127.0.0.1, one server per part (a part is one set of options), and a private control
// port. Prints one line of JSON when it listens:
//
//   node reference.mjs v17 '{"idp":"http://localhost:4000"}' main strict    -> {"control":"http://…","parts":{"main":"http://…"}}
//
// Everything lives in memory. It ends when its standard input does, or on SIGTERM.

import http from 'node:http'
import { PARTS, SECRET, TRUSTED } from './parts.mjs'

const [version, settings = '{}', ...names] = process.argv.slice(2)
const { idp } = JSON.parse(settings)
const { apiKey, betterAuth, memoryAdapter, passkey, plugins, toNodeHandler } = await import(`./${version}/packages.mjs`)

const MODELS = [
  ...['user', 'session', 'account', 'verification', 'rateLimit', 'jwks', 'twoFactor', 'passkey', 'apikey', 'deviceCode'],
  ...['organization', 'member', 'invitation', 'team', 'teamMember', 'organizationRole'],
]

function listen(handler, port = 0) {
  const server = http.createServer(handler)
  return new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(server.address().port)))
}

function providersOf(part) {
  const discovery = `${idp}/application/o/app/.well-known/openid-configuration`
  const known = { clientId: 'app', clientSecret: 'app-secret-app-secret-app-secret', scopes: ['openid', 'profile', 'email'] }
  const byDiscovery = { ...known, discoveryUrl: discovery, pkce: true }
  if (!idp) return []
  return [
    { ...byDiscovery, providerId: 'authentik' },
    { ...byDiscovery, providerId: 'trusted' },
    { ...byDiscovery, providerId: 'asked', disableImplicitSignUp: true },
    { ...byDiscovery, providerId: 'closed', disableSignUp: true },
    {
      ...known,
      providerId: 'plain',
      authorizationUrl: `${idp}/plain/authorize`,
      tokenUrl: `${idp}/plain/token`,
      userInfoUrl: `${idp}/plain/userinfo`,
    },
  ].filter(({ providerId }) => !part.providers || part.providers.includes(providerId))
}

function pluginsOf(part, mail) {
  const p = plugins
  const all = {
    'generic-oauth': () => p.genericOAuth({ config: providersOf(part) }),
    jwt: () => p.jwt(),
    'two-factor': () =>
      p.twoFactor({ issuer: 'Harbour', otpOptions: { sendOTP: ({ user, otp }) => mail('two-factor', user.email, `Code: ${otp}`) } }),
    passkey: () => passkey(),
    organization: () =>
      p.organization({
        teams: { enabled: true },
        sendInvitationEmail: ({ id, email }) => mail('invitation', email, `Invitation: ${id}`),
      }),
    admin: () => p.admin(),
    'email-otp': () => p.emailOTP({ sendVerificationOTP: ({ email, otp, type }) => mail(`otp ${type}`, email, `Code: ${otp}`), changeEmail: { enabled: true } }),
    'magic-link': () => p.magicLink({ sendMagicLink: ({ email, url }) => mail('magic-link', email, `Open ${url}`) }),
    username: () => p.username(),
    'multi-session': () => p.multiSession(),
    'api-key': () => apiKey(),
    'one-time-token': () => p.oneTimeToken(),
    'device-authorization': () => p.deviceAuthorization({ verificationUri: '/device' }),
    'open-api': () => p.openAPI(),
    bearer: () => p.bearer(),
  }
  return Object.entries(all)
    .filter(([name]) => !part.plugins || part.plugins.includes(name))
    .map(([, make]) => make())
}

async function startPart(name) {
  const part = PARTS[name]
  const mails = []
  const errors = []
  const mail = async (kind, to, text) => void mails.push({ kind, to, text })
  const db = Object.fromEntries(MODELS.map((model) => [model, []]))
  let handler
  const port = await listen((request, response) => handler(request, response))
  const baseURL = part.publicUrl ?? `http://localhost:${port}`
  const auth = betterAuth({
    appName: 'Harbour',
    baseURL,
    secret: SECRET,
    database: memoryAdapter(db),
    trustedOrigins: TRUSTED,
    telemetry: { enabled: false },
    logger: { level: 'error', log: (level, message, ...rest) => errors.push([level, message, ...rest.map(String)].join(' ')) },
    rateLimit: { enabled: part.rateLimit ?? false },
    emailAndPassword: {
      enabled: true,
      requireEmailVerification: part.requireEmailVerification ?? false,
      disableSignUp: part.disableSignUp ?? false,
      ...(part.noReset ? {} : { sendResetPassword: ({ user, url }) => mail('reset', user.email, `Open ${url}`) }),
    },
    ...(part.noVerification
      ? {}
      : { emailVerification: { sendVerificationEmail: ({ user, url }) => mail('verify', user.email, `Open ${url}`), sendOnSignIn: part.requireEmailVerification ?? false } }),
    user: {
      ...(part.noChangeEmail
        ? {}
        : { changeEmail: { enabled: true, sendChangeEmailConfirmation: ({ user, newEmail, url }) => mail('change', user.email, `To ${newEmail}: open ${url}`) } }),
      ...(part.noDelete
        ? {}
        : { deleteUser: { enabled: true, ...(part.deleteMail ? { sendDeleteAccountVerification: ({ user, url }) => mail('delete', user.email, `Open ${url}`) } : {}) } }),
    },
    account: { accountLinking: { trustedProviders: ['trusted'] } },
    session: part.session ?? {},
    plugins: pluginsOf(part, mail),
  })
  handler = toNodeHandler(auth)
  await auth.$context
  return { port, db, mails, errors, url: `http://localhost:${port}`, publicUrl: baseURL }
}

const parts = {}
for (const name of names.length ? names : Object.keys(PARTS)) parts[name] = await startPart(name)

const DAY = 86_400_000

/** What a test cannot wait for or may not do from outside. */
const CONTROLS = {
  mails: ({ mails }) => mails.splice(0),
  errors: ({ errors }) => errors.splice(0),
  role({ db }, { email, role }) {
    const user = db.user.find((one) => one.email === email)
    if (user) user.role = role
    return Boolean(user)
  },
  /** A session that began and was refreshed `days` ago, or ends `leaves` seconds from now. */
  age({ db }, { token, days, leaves }) {
    const session = db.session.find((one) => one.token === token)
    if (!session) return false
    if (days) {
      for (const field of ['createdAt', 'expiresAt']) session[field] = new Date(session[field].getTime() - days * DAY)
    }
    if (leaves !== undefined) session.expiresAt = new Date(Date.now() + leaves * 1000)
    return true
  },
  /** Every link and code given out so far has run out. */
  expire({ db }) {
    for (const row of [...db.verification, ...db.deviceCode, ...db.invitation, ...db.apikey]) {
      if (row.expiresAt) row.expiresAt = new Date(Date.now() - 1000)
    }
    return true
  },
}

const control = await listen(async (request, response) => {
  let text = ''
  for await (const chunk of request) text += chunk
  const { part, op, ...rest } = JSON.parse(text)
  const result = CONTROLS[op]?.(parts[part], rest)
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify(result ?? null))
})

process.on('SIGTERM', () => process.exit(0))
process.stdin.on('end', () => process.exit(0)).resume()
const told = Object.fromEntries(Object.entries(parts).map(([name, { url, publicUrl }]) => [name, { url, publicUrl }]))
process.stdout.write(`${JSON.stringify({ control: `http://localhost:${control}`, parts: told })}\n`)
