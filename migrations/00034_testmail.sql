-- +goose Up
-- Tests of people's mail programs: a mail to them, and what was found in their answer (package testmail). No mail is kept.
-- +goose StatementBegin
do $$
begin
  create role "sealpost_testmail" nologin;
exception when duplicate_object or unique_violation then null;
end $$;
-- +goose StatementEnd
grant "sealpost_testmail" to "sealpost_server";

create schema testmail;

-- Keys of the test mailbox. Private ones are sealed, and destroyed when the certificates have ended.
create table testmail.identity (
  id             uuid primary key,
  address        text not null,
  signing_key    bytea,
  encryption_key bytea,
  signing        bytea,            -- certificates, DER; null: not issued yet
  encryption     bytea,
  made_at        timestamptz not null,
  ends_at        timestamptz,
  check ((signing is null) = (encryption is null) and (signing is null) = (ends_at is null))
);

create table testmail.test (
  id          uuid primary key,
  person      uuid not null,
  token       text not null unique,     -- in the mail's id and subject: by it an answer is known
  code        text not null,            -- in the encrypted text alone: who answers with it has read that
  name        text not null,
  mailbox     text not null,            -- where it goes
  certificate bytea not null,           -- that it is encrypted to; DER
  subject     text not null,
  text        text not null,
  begun_at    timestamptz not null,
  until       timestamptz not null,     -- answers are waited for
  sent_at     timestamptz,
  failed_at   timestamptz,              -- the mail server did not take it
  failure     text not null default '', -- why, by its code
  said        text not null default '', -- by the mail server
  notice      text not null default '' check (notice in ('', 'automatic', 'bounced')),
  answers     integer not null default 0,
  answered_at timestamptz,
  theirs      boolean not null default false, -- the answer that the findings are of was signed by them
  findings    jsonb
);
create index on testmail.test (person, begun_at);
create index on testmail.test (until);

-- How the mailbox was found last: one row.
create table testmail.look (
  only_one  boolean primary key default true check (only_one),
  looked_at timestamptz,
  failed_at timestamptz, -- null: the last look went well
  failure   text not null default ''
);

grant usage on schema testmail to "sealpost_testmail";
grant select, insert, delete on testmail.identity, testmail.test to "sealpost_testmail";
grant update (signing_key, encryption_key, signing, encryption, ends_at) on testmail.identity to "sealpost_testmail";
grant update (sent_at, failed_at, failure, said, notice, answers, answered_at, theirs, findings) on testmail.test to "sealpost_testmail";
grant select, insert, update (looked_at, failed_at, failure) on testmail.look to "sealpost_testmail";
grant usage on schema audit to "sealpost_testmail";
grant usage on sequence audit.event_id to "sealpost_testmail";
grant insert on audit.event, audit.pending to "sealpost_testmail";
