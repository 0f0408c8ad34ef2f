with transactions as (

    select * from {{ ref('stg_security__transactions') }}

),

-- a transaction stands once for each party that is left
sides as (

    select
        buyer as pseudonym,
        seller as counterpart,
        card_key,
        status,
        started_on,
        ends_on
    from transactions
    where buyer is not null
    union all
    select
        seller as pseudonym,
        buyer as counterpart,
        null::uuid as card_key,
        status,
        started_on,
        ends_on
    from transactions
    where seller is not null

)

select * from sides
