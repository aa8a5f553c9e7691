-- +goose Up
-- People whom the directory shows as disabled or no longer, and what becomes of their certificates (package enroll/leaver).
create table enroll.leaver (
  number     bigint generated always as identity unique, -- order of notice; a cursor
  person     uuid primary key,
  name       text not null,        -- as in their newest certificate; for those who decide
  mailbox    text not null,        -- of the same
  standing   text not null check (standing in ('disabled', 'gone')),
  state      text not null check (state in ('noticed', 'waiting', 'leaving', 'left', 'kept')),
  why        text check (why in ('policy', 'limit')), -- somebody waits
  noticed_at timestamptz not null,
  seen_at    timestamptz not null, -- when the directory was last asked
  changed_at timestamptz not null,
  decided_by jsonb,                -- the actor; null: the policy
  reason     text,                 -- what they said
  check ((state = 'waiting') = (why is not null)),
  check ((decided_by is null) = (reason is null))
);
create index on enroll.leaver (state, number);

-- How far the sweep through everybody has come: one row.
create table enroll.leaver_sweep (
  single   boolean primary key default true check (single),
  number   bigint not null,       -- of passes begun
  begun_at timestamptz not null,
  cursor   uuid not null,         -- everybody up to here has been looked at
  people   int not null,          -- so many
  done     boolean not null,
  total    int not null           -- people in the last pass that ended
);

grant select, insert, update, delete on enroll.leaver to "sealpost_enroll";
grant select, insert, update on enroll.leaver_sweep to "sealpost_enroll";
