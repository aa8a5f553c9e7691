-- +goose Up
-- People whose certificates name mail addresses that the directory no longer has for them (package enroll/leaver).
alter table enroll.leaver drop constraint leaver_standing_check,
  add check (standing in ('disabled', 'gone', 'moved')),
  add lost text[] not null default '{}', -- those addresses, in lower case
  add check ((standing = 'moved') = (lost <> '{}'));
