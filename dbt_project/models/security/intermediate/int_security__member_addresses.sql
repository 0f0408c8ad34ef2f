with access_logs as (

    select * from {{ ref('stg_security__access_logs') }}

),

addresses as (

    select
        pseudonym,
        ip,
        min(ends_on) as ends_on
    from access_logs
    where pseudonym is not null
    group by pseudonym, ip

),

-- behind a carrier's or an office's address are many who know nothing of each other: it tells nothing
few as (

    select ip
    from addresses
    group by ip
    having count(distinct pseudonym) between 2 and 5

),

member_addresses as (

    select
        addresses.pseudonym,
        addresses.ip,
        addresses.ends_on
    from addresses
    inner join few on addresses.ip = few.ip

)

select * from member_addresses
