-- +goose Up
-- What registrars see of requests, and tokens that can be spoken of by whoever does not have them.
alter table enroll.request
  add column claimed    jsonb, -- what the certificate requests name, cleaned; compared, never certified. Null: from before this was kept
  add column decided_by jsonb; -- the registrar who endorsed or rejected it

alter table enroll.token
  add column number       bigint generated always as identity unique, -- its name among people
  add column use          text not null default 'handed' check (use in ('handed', 'behalf')), -- by the person, or by its maker for them
  add column form         uuid unique,                                -- what asked for it, so that it is made and shown once
  add column withdrawn_at timestamptz;
create index token_open on enroll.token (ends, number) where request is null and withdrawn_at is null;
create index token_of on enroll.token (person) where request is null and withdrawn_at is null;
create index token_spent on enroll.token (request) where request is not null;
