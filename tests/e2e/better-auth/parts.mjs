// The parts of the comparison: one set of options each, for the reference and for the application at Doorward alike.

export const SECRET = 'doorward-test-secret-0123456789abcdef'
/** Where the app's pages live, beside the server's own origin. */
export const APP = 'http://app.example.test:3000'
export const TRUSTED = [APP, 'https://*.apps.example.test', 'myapp://']

/** Everything of the contract's section 5 that is compared. */
export const PLUGINS = [
  ...['admin', 'api-key', 'bearer', 'device-authorization', 'email-otp', 'generic-oauth', 'jwt', 'magic-link', 'multi-session'],
  ...['one-time-token', 'open-api', 'organization', 'passkey', 'two-factor', 'username'],
]

export const PARTS = {
  /** Everything on: passwords and every plugin of the contract. */
  main: {},
  /** The address must be proved before anybody gets in; deletion asks by mail. */
  strict: { requireEmailVerification: true, deleteMail: true },
  /** What an app may switch off is off. */
  bare: { disableSignUp: true, noReset: true, noVerification: true, noChangeEmail: true, noDelete: true, plugins: ['bearer'] },
  /** The public address is https: cookies are Secure and prefixed. */
  secure: { publicUrl: 'https://auth.example.test' },
  /** Rate limits as in production. */
  limits: { rateLimit: true },
}
