-- The tables of the notes API with their policies. Run by a role that owns them; the service connects as another, which
-- owns nothing (`guarded-service setup` does both). Running it again changes nothing.

create table if not exists notes (
    id         bigint generated always as identity primary key,
    owner      text not null default nullif(current_setting('app.current_user_id', true), ''),
    workspace  text          default nullif(current_setting('app.current_workspace_id', true), ''),
    body       text not null check (length(body) between 1 and 10000),
    created_at timestamptz not null default now()
);
create index if not exists notes_owner on notes (owner);
create index if not exists notes_workspace on notes (workspace) where workspace is not null;

-- `enable` holds for everybody but the owner, `force` for the owner too.
alter table notes enable row level security;
alter table notes force row level security;

-- The second argument makes a setting that was never made null instead of an error, and `nullif` makes one that has ended
-- null again: null equals nothing, so without a person there are no rows.
drop policy if exists own_notes on notes;
create policy own_notes on notes
    using (owner = nullif(current_setting('app.current_user_id', true), ''))
    with check (
        owner = nullif(current_setting('app.current_user_id', true), '')
        and (workspace is null or workspace = nullif(current_setting('app.current_workspace_id', true), ''))
    );

-- Notes of the workspace that the person works in may be read, not changed. The guard takes the workspace from the session,
-- where the server put it after checking that the person is a member.
drop policy if exists workspace_notes on notes;
create policy workspace_notes on notes for select
    using (workspace = nullif(current_setting('app.current_workspace_id', true), ''));

