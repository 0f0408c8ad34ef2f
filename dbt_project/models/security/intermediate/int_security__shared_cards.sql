with sides as (

    select * from {{ ref('int_security__sides') }}

),

member_addresses as (

    select * from {{ ref('int_security__member_addresses') }}

),

cards as (

    select
        pseudonym,
        counterpart,
        card_key,
        min(ends_on) as ends_on
    from sides
    where card_key is not null
    group by pseudonym, counterpart, card_key

),

-- four digits are the same for one card in ten thousand: only together with the same seller, or with an address that
-- few share, do they tell of one card (C-2.5: fraud)
at_sellers as (

    select
        card_key,
        counterpart,
        count(distinct pseudonym) as member_count,
        min(ends_on) as ends_on
    from cards
    where counterpart is not null
    group by card_key, counterpart
    having count(distinct pseudonym) > 1

),

placed as (

    select
        cards.pseudonym,
        cards.card_key,
        member_addresses.ip,
        least(cards.ends_on, member_addresses.ends_on) as ends_on
    from cards
    inner join member_addresses on cards.pseudonym = member_addresses.pseudonym

),

at_addresses as (

    select
        card_key,
        ip,
        count(distinct pseudonym) as member_count,
        min(ends_on) as ends_on
    from placed
    group by card_key, ip
    having count(distinct pseudonym) > 1

),

found as (

    select
        cards.pseudonym,
        at_sellers.member_count,
        at_sellers.ends_on
    from cards
    inner join at_sellers on cards.card_key = at_sellers.card_key and cards.counterpart = at_sellers.counterpart
    union all
    select
        placed.pseudonym,
        at_addresses.member_count,
        at_addresses.ends_on
    from placed
    inner join at_addresses on placed.card_key = at_addresses.card_key and placed.ip = at_addresses.ip

),

shared_cards as (

    select
        pseudonym,
        max(member_count) - 1 as shared_card_member_count,
        min(ends_on) as ends_on
    from found
    group by pseudonym

)

select * from shared_cards
