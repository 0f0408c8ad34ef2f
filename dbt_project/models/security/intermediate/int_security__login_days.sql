with member_requests as (

    select * from {{ ref('int_security__member_requests') }}

),

login_days as (

    select
        pseudonym,
        requested_on,
        count(requested_at) as request_count,
        count(distinct ip) as address_count,
        max(addresses_within_hour) as most_addresses_in_an_hour,
        count(requested_at) filter (where is_second_browser) as second_browser_count,
        count(requested_at) filter (where is_impossible_switch) as impossible_switch_count,
        max(night_requests_within_minutes) as largest_night_burst,
        count(requested_at) filter (where is_failed_login) as failed_login_count,
        min(ends_on) as ends_on
    from member_requests
    group by pseudonym, requested_on

)

select * from login_days
