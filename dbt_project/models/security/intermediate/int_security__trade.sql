with sides as (

    select * from {{ ref('int_security__sides') }}

),

days as (

    select
        pseudonym,
        started_on,
        count(started_on) as sale_count,
        count(started_on) filter (where status = 'disputed') as disputed_count,
        min(ends_on) as ends_on
    from sides
    group by pseudonym, started_on

),

trade as (

    select
        pseudonym,
        sum(sale_count)::bigint as sale_count,
        sum(disputed_count)::bigint as disputed_count,
        max(sale_count) as largest_day_sale_count,
        min(ends_on) as ends_on
    from days
    group by pseudonym

)

select * from trade
