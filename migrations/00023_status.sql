-- +goose Up
-- How each file stands at its distribution points, to the last look; and what operators were told of by mail.

alter table crl.point
  add looked_at timestamptz,                    -- when the point was last looked at, whatever was seen
  add shown     boolean not null default false; -- whether that look saw a file of ours, right or not

-- One row per matter that operators must look after, so that they hear of each at most once in its time, and once when it is
-- good again. What lies longer back is deleted.
create table notice.matter (
  area    text not null,        -- who says how its matters stand: all of an area at once
  key     text not null,        -- what it is about
  grade   int not null,         -- how bad it was when they were told: a worse one is told at once
  told_at timestamptz not null,
  good    boolean not null,     -- whether they were told that it is good again
  primary key (area, key)
);
grant select, insert, update, delete on notice.matter to "sealpost_notice";
