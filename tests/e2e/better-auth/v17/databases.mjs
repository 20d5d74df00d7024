// Databases for the reference server of this version, resolved beside this file.

export { getCookieCache } from 'better-auth/cookies'
export { getMigrations } from 'better-auth/db/migration'
export { SqliteDialect } from 'kysely'
export { Pool } from 'pg'
import sqlite from 'node-sqlite3-wasm'

export const { Database: Sqlite } = sqlite
