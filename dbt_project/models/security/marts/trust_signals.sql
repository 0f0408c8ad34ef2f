with members as (

    select * from {{ ref('stg_security__members') }}

),

login_anomalies as (

    select * from {{ ref('login_anomalies') }}

),

trade as (

    select * from {{ ref('int_security__trade') }}

),

shared_cards as (

    select * from {{ ref('int_security__shared_cards') }}

),

shared_address_sales as (

    select * from {{ ref('int_security__shared_address_sales') }}

),

anomalies as (

    select
        pseudonym,
        count(requested_on) as anomalous_login_days,
        min(ends_on) as ends_on
    from login_anomalies
    group by pseudonym

),

gathered as (

    select
        members.pseudonym,
        coalesce(anomalies.anomalous_login_days, 0) as anomalous_login_days,
        coalesce(shared_cards.shared_card_member_count, 0) as shared_card_member_count,
        coalesce(shared_address_sales.shared_address_sale_count, 0) as shared_address_sale_count,
        coalesce(trade.disputed_count, 0) as disputed_count,
        coalesce(trade.largest_day_sale_count, 0) as largest_day_sale_count,
        members.registered_month >= date_trunc('month', {{ as_of() }} - interval 1 month) as is_new_account,
        least(anomalies.ends_on, shared_cards.ends_on, shared_address_sales.ends_on, trade.ends_on) as ends_on
    from members
    left join anomalies on members.pseudonym = anomalies.pseudonym
    left join trade on members.pseudonym = trade.pseudonym
    left join shared_cards on members.pseudonym = shared_cards.pseudonym
    left join shared_address_sales on members.pseudonym = shared_address_sales.pseudonym

),

-- points that are taken from a hundred; each sign alone proposes nothing
weighed as (

    select
        pseudonym,
        anomalous_login_days,
        shared_card_member_count,
        shared_address_sale_count,
        disputed_count,
        largest_day_sale_count,
        is_new_account,
        ends_on,
        least(30, 10 * anomalous_login_days) as login_points,
        case when shared_card_member_count > 0 then 30 else 0 end as card_points,
        case when shared_address_sale_count > 0 then 30 else 0 end as address_points,
        case when disputed_count >= 2 then least(30, 10 * disputed_count) else 0 end as dispute_points,
        case when is_new_account and largest_day_sale_count >= 10 then 30 else 0 end as burst_points
    from gathered

),

scored as (

    select
        pseudonym,
        anomalous_login_days,
        shared_card_member_count,
        shared_address_sale_count,
        disputed_count,
        largest_day_sale_count,
        is_new_account,
        ends_on,
        greatest(0, 100 - login_points - card_points - address_points - dispute_points - burst_points)::bigint as score,
        coalesce(nullif(concat_ws(
            '; ',
            case when login_points > 0 then 'login anomalies' end,
            case when card_points > 0 then 'shared card' end,
            case when address_points > 0 then 'sales at a shared address' end,
            case when dispute_points > 0 then 'disputed transactions' end,
            case when burst_points > 0 then 'burst of a new account' end
        ), ''), 'none') as reasons
    from weighed

),

proposed as (

    select
        pseudonym,
        score,
        reasons,
        anomalous_login_days,
        shared_card_member_count,
        shared_address_sale_count,
        disputed_count,
        largest_day_sale_count,
        is_new_account,
        ends_on,
        case when score < 60 then 'verify' else 'none' end as proposed_action
    from scored

),

trust_signals as (

    select
        pseudonym,
        score,
        proposed_action,
        reasons,
        anomalous_login_days,
        shared_card_member_count,
        shared_address_sale_count,
        disputed_count,
        largest_day_sale_count,
        is_new_account,
        ends_on
    from proposed

)

select * from trust_signals
