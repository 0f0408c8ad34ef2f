with members as (

    select * from {{ ref('stg_service__members') }}

),

tastes as (

    select * from {{ ref('int_service__tastes') }}

),

places as (

    select * from {{ ref('int_service__places') }}

),

-- columns in the order of their importance: where a row would be recognised, the last of them are not shown first
offer_matching as (

    select
        members.pseudonym,
        coalesce(members.gender, 'unknown') as gender,
        coalesce(tastes.favourite_size, 'unknown') as favourite_size,
        coalesce(members.age_band, 'unknown') as age_band,
        coalesce(places.region, 'unknown') as region,
        coalesce(tastes.favourite_item_category, 'none') as favourite_item_category,
        coalesce(tastes.second_item_category, 'none') as second_item_category,
        coalesce(tastes.price_band, 'unknown') as price_band,
        least(tastes.ends_on, places.ends_on) as ends_on
    from members
    left join tastes on members.pseudonym = tastes.pseudonym
    left join places on members.pseudonym = places.pseudonym

)

select * from offer_matching
