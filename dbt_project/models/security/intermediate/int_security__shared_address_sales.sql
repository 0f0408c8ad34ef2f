with sides as (

    select * from {{ ref('int_security__sides') }}

),

member_addresses as (

    select * from {{ ref('int_security__member_addresses') }}

),

neighbours as (

    select
        mine.pseudonym,
        theirs.pseudonym as counterpart,
        min(least(mine.ends_on, theirs.ends_on)) as ends_on
    from member_addresses as mine
    inner join member_addresses as theirs on mine.ip = theirs.ip and mine.pseudonym <> theirs.pseudonym
    group by mine.pseudonym, theirs.pseudonym

),

shared_address_sales as (

    select
        sides.pseudonym,
        count(sides.started_on) as shared_address_sale_count,
        min(least(sides.ends_on, neighbours.ends_on)) as ends_on
    from sides
    inner join neighbours on sides.pseudonym = neighbours.pseudonym and sides.counterpart = neighbours.counterpart
    group by sides.pseudonym

)

select * from shared_address_sales
