-- +goose Up
-- Mails about recovery cases: who is to be told of what, and what became of it. No text of a mail is kept, nor any address.
-- +goose StatementBegin
do $$
begin
  create role "sealpost_notice" nologin;
exception when duplicate_object or unique_violation then null;
end $$;
-- +goose StatementEnd
grant "sealpost_notice" to "sealpost_server";

create schema notice;

-- One row per reader and event of a case: nobody is told twice.
create table notice.mail (
  case_id    uuid not null,
  about      text not null,         -- the event
  person     uuid not null,         -- the reader
  part       text not null,         -- what the reader is to the case
  queued_at  timestamptz not null,
  unanswered int not null default 0, -- attempts that the mail server may have taken
  outcome    text check (outcome in ('sent', 'unanswered', 'refused', 'no-address', 'overtaken')),
  done_at    timestamptz,
  check ((outcome is null) = (done_at is null)),
  primary key (case_id, about, person)
);

-- Legal cases whose subjects were not told at once, and now are.
create table notice.revealed (
  case_id   uuid primary key,
  queued_at timestamptz not null
);

grant usage on schema notice to "sealpost_notice";
grant select, insert on notice.mail, notice.revealed to "sealpost_notice";
grant update (unanswered, outcome, done_at) on notice.mail to "sealpost_notice";

-- Which cases are to be revealed is asked every minute.
create index on archive.recovery_case (silent_until) where silent_until is not null;
