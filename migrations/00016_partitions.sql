-- +goose Up
-- Revocation lists in partitions: which one lists a certificate is settled when it is prepared, and stands in it. With each
-- change of standing goes what a list must know of the certificate, so that lists need not look it up.

-- The most partitions that an issuer's certificates were ever spread over: each has a list for as long as they last.
alter table ca.issuer add column partitions smallint not null default 0 check (partitions >= 0);
grant update (partitions) on ca.issuer to "sealpost_ca";

-- 0: the certificate names the whole list alone.
alter table ca.prepared add column partition smallint not null default 0 check (partition >= 0);

alter table ca.revocation add column partition smallint not null default 0 check (partition >= 0);
alter table ca.revocation add column profile text;
update ca.revocation r set profile = p.profile from ca.prepared p where p.issuer = r.issuer and p.serial = r.serial;
alter table ca.revocation alter column profile set not null;
